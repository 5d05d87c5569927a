"""Forms about integrations, for the console and the admin alike.

choice.py          which connector types a person may choose, and what is said of one
secret_fields.py   fields whose value never travels back to a browser
fields.py          from a manifest to the fields of a form, and back to settings
connector_form.py  the part of a form that the chosen connector type decides
settings_form.py   the settings of an integration: checked, and refused if somebody else was faster
inbound_actions.py  what it may do here when it calls back
store.py           what was set is written
advice.py          what may be saved but deserves a word
shown_once.py      a new signing secret on its way to the one page that shows it
"""
