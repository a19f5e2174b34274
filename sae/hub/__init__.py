"""SAEs on the Hugging Face Hub, by name: found, listed and downloaded."""

from .client import HubOptions
from .locate import LocatedSAE, RemoteSAE, fetch, find_remote, locate, locate_pretrained
from .names import HubName, is_name, parse_name

__all__ = [
    "HubName",
    "HubOptions",
    "LocatedSAE",
    "RemoteSAE",
    "fetch",
    "find_remote",
    "is_name",
    "locate",
    "locate_pretrained",
    "parse_name",
]
