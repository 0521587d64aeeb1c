//go:build linux

package attacks

func honestRows() []Row { return nil }
