"""A Lanying IM cloud of one app, for tests: written from the description of the
protocol, never from the adapter. `python3 -m lanying` runs one by itself.

wire.py    the frames
world.py   users, groups, messages: what the cloud knows
rest.py    its HTTP interface
link.py    its long connections, on both transports
hook.py    its callbacks to somebody's web server
view.py    what a person sees in the end, and what must hold of it
server.py  all of it together, and the people in it
"""
