"""The catalogue: every table and topic under contract, on one page to search and read."""

from waypoint.catalogue.rendering import Catalogue, write_catalogue

__all__ = ["Catalogue", "write_catalogue"]
