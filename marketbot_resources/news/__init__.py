"""Providers of headlines with crawl times."""
