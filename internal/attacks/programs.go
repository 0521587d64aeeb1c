//go:build linux

package attacks

func programRows() []Row { return nil }
