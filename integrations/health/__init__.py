"""How an integration is: one rule for the console, the admin, the API and whoever is to be warned.

`rule.py` judges, purely; `reading.py` reads what it judges by, in a few queries for any number of integrations;
`alert.py` remembers what was told (alerts/).
`explanations.py` says of one integration what stops or delays its deliveries.
"""
