"""WooCommerce: orders and products of a shop."""

from .connector import WooCommerceConnector

__all__ = ["WooCommerceConnector"]
