"""The console: pages that show what happened and why, and let a person mend it.

urls.py            every page, with the role that it asks for
page.py            `page`, the decorator of every view: sign-in, role, friendly refusals, Content-Security-Policy
access.py          `Access`: who looks, at which tenants' rows, and what they may do
navigation.py      the entries at the side
leaving.py         the way to another site, from a form
sign_in/           sign in and out, for people without a staff flag too
overview/ …        one folder for each page: views.py, and what that page alone needs

Templates are in ``templates/integrations/console/``; ``frame.html`` is the whole document, ``base.html`` is what a
project replaces to put the console into its own product, and every page extends that. docs/console.md says how a page
is made.
"""
