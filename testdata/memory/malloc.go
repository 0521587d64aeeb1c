//go:build cgo

package main

// #include <stdlib.h>
// #include <string.h>
// static int fill(void) {
//	for (int i = 0; i < 96; i++) {
//		char *p = malloc(16 << 20);
//		if (p == NULL) return 0;
//		memset(p, 1, 16 << 20);
//	}
//	return 1;
// }
import "C"

func init() {
	ways["malloc"] = func() {
		if C.fill() == 0 {
			panic("malloc has failed")
		}
	}
}
