"""One integration as a workbench: a tab for each thing that a person does with it.

bench.py      `open_bench`: what every tab has: the integration, its health, tabs and buttons
overview.py   the first tab
actions.py    what its buttons do: a test and its answer, pause, a new signing secret that is shown once, deletion

A tab of another page extends ``integrations/console/workbench.html`` and fills the block ``tab``:

    @page(Role.VIEWER)
    def history(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
        bench = open_bench(access, public_id, "history")
        return show(request, access, "workbench_history.html", {"bench": bench})
"""
