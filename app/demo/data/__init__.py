"""``make demo-data``: a week of traffic, made in seconds by the rules that workers go by.

    places     the tenants, their people and destinations, and how each destination answers when; pure
    lane       one integration's rows sent on a clock that runs fast: attempts, retries, pauses, what is left; pure
    business   work items, what people change of them, in which events that shows
    others     what comes in and what is handed over: inbound webhooks, pulls, pushes
    fill       all of it into a database, by bulk inserts

The same seed gives an empty database the same week, up to now. Where the shops are it is always Thursday afternoon;
what is random is spread over the times of day at which they work.
"""
