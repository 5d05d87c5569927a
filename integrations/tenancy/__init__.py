"""Whose rows: the tenant model that the project names, the base of rows that belong to a tenant, and deleting them.

tenant.py        the tenant model of this project; how a tenant is found by a key and named
scope.py         which tenants a person may see
key.py           the foreign key of our own tables to the tenant model
owned.py         `TenantOwned`, the base of a model whose rows belong to a tenant; writes that nobody has to hear of
boundary.py      keeps other tenants' rows out of what is read and told of one tenant's row
deletion.py      delete a row with everything that belongs to it, in batches
marks.py         a tenant model that is marked first, and deleted by a worker
checked_texts.py, harmless_text.py    texts that people type
"""
