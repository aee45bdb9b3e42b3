"""What subcommands and the page compute alike."""
