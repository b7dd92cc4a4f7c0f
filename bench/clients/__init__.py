"""The client beside skopeo, crane and oras."""
