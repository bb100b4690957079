"""Asking web services over the network: limits, retries, breakers, addresses. Not here: what is asked and what answers mean."""
