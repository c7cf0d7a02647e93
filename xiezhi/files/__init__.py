"""Files of departments: JSON Lines and CSV, row by row, into records that keep their contract.

Rows stream: memory does not grow with the file. What cannot become a record is a refusal with line, field and
reason. No identity of a person is written anywhere but into the tokeniser.
"""
