//go:build !linux

package spawn

func closeInherited(int, bool) {}

func leaveTerminal() {}
