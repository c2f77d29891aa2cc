"""
Whatever was handed in becomes the definitions that the questions need.

The trusted process opens files and copies bytes (`collect`) and validates what comes back (`report`).
Everything that parses those bytes (`unpack`, `notebook`, `magics`, `definitions`, `survey`) is a pure
function for a worker.
"""
