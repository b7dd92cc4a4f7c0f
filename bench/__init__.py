"""The same load on entrepot and on CNCF distribution, side by side: `make bench-quick` writes docs/benchmarks.md."""
