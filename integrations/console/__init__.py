"""The console: pages that show what happened and why, and let a person mend it.

urls.py              every page; each is a file of its own (``events.py``), with its list, its queries and its forms,
                     or a folder, where that would be too long (``audit/``, ``delivery/``, ``jobs/``, ``workbench/``)

What pages share:

page.py              `page`, the decorator of every view: sign-in, role, friendly refusals, Content-Security-Policy
access.py            `Access`: who looks, at which tenants' rows, and what they may do
navigation.py        the entries at the side
keyset.py            lists that are read by key
objects.py           the objects that events are about: by name, and found by words
changes.py           what an event says has changed, and who did it
one_integration.py   the integration that a page is about, and who may use its connector type

Templates are in ``templates/integrations/console/``; ``frame.html`` is the whole document, ``base.html`` is what a
project replaces to put the console into its own product, and every page extends that. docs/console.md says how a page
is made.
"""
