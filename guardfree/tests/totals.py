# SPDX-License-Identifier: MIT
# The program of docs/guardfree.md: CPython 3.11 writes past the array's end.
from array import array

totals = array('B', [0] * 365)          # one byte for each day

class Reading:
    def __init__(self, value):
        self.value = value

    def __index__(self):                # what array calls to get the number
        del totals[100:]                # ... the meter was reset: forget the rest
        return self.value

totals[200] = Reading(42)
print('stored', len(totals), 'days')
