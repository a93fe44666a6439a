# SPDX-License-Identifier: MIT
"""Words are counted, sorted, and go to JSON and back."""
import json

counts = {}
for i in range(60000):
    word = "word %d" % (i * i % 7919)
    counts[word] = counts.get(word, 0) + 1
text = json.dumps(sorted(counts.items(), key=lambda item: -item[1]))
assert dict(json.loads(text)) == counts
