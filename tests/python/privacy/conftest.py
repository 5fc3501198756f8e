"""The whole project, built once for all long tests that search it."""

from __future__ import annotations

import pytest
from privacy.whole_project import WholeProject


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WholeProject:
    return WholeProject.built(tmp_path_factory.mktemp("whole") / "var")
