"""One file per family that others pull from: its port, and the records that the port speaks in.

A kind of a family implements the port and answers in these records, so that whoever reads orders does not care which
shop they came from. A family is data: the Django layer knows none of these names.
"""
