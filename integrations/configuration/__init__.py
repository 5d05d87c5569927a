"""System-wide configuration: one row per system, kept encrypted, read through a cache.

models      AbstractConfiguration for a host's own model; IntegrationConfiguration and its proxies for ours
service     ``config.get_singleton(Model)``, ``config.is_github_enabled()``
base        BaseIntegration: a service with a switch and a configuration
"""
