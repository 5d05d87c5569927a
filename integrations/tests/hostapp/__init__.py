"""A host: somebody else's project with its own tenants and its own connections (docs/your-own-models.md).

companies/, connectors/   its two apps, for tests in this process (fixture ``host``); the product never installs them
fresh_project.py          a new project in an empty folder, made of the blocks of the page
walk.py, view.py, …       what runs inside of that project
"""
