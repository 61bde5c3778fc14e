"""Before anything is built: what it takes, what it costs, whether it is worth it.

`shape` and `memory` count bytes, `scaling` and `cost` count operations, hours and money,
`candidates` measures what lies on disk, `brief` writes the decision down.
"""
