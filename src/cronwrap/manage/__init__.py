"""What the subcommands and the web page compute alike: plain functions that print nothing and know no HTTP."""
