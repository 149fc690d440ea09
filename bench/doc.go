// Package bench measures what emrbridge claims: each figure with its anchor, side by side
// in one run, on a network that it starts itself. It never judges; docs/figures.md holds
// what was measured and when.
package bench
