"""The runtime "This machine" on Elyra's canvas."""
