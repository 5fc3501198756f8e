"""Pages for people: sections of tiles, charts and tables, told by YAML, in one HTML file."""

from waypoint.pages.rendering import Rendered, render_page

__all__ = ["Rendered", "render_page"]
