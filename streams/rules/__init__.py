"""Rules: pure functions from a view, parameters and `now` to findings, one module each.

Modules without a rule id in their name hold what several rules and derivations share. Texts, thresholds and law are
on the rule's card (`streams/packs`); a module here knows reason codes and numbers only.
"""
