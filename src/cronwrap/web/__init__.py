"""The web page: a surface over what the subcommands compute, for a person's browser and for programs.

server   sockets, and the program that listens on them; ends when nobody looks
visitor  who is there, as the kernel, a key or a proxy tells
guard    what every request must pass, before anything else sees it
actor    does deeds as the user they are for; child is its process that has become another user
deeds    what is read and changed: plain functions of plain arguments, that know nothing of HTTP
pages    HTML for people; api JSON for programs: two thin layers over the same deeds

Nothing of this is loaded on the way of a run. The rest of the package uses ``server.serve`` alone.
"""
