// Package insight shows what the workers of pools are doing: over HTTP, in expvar, and as profiles
// of all workers in one file.
//
//	http.Handle("/debug/mp/", http.StripPrefix("/debug/mp", insight.Handler(map[string]*mp.Pool{"images": pool})))
//
// then, while the pool works:
//
//	go tool pprof http://localhost:8080/debug/mp/images/profile?seconds=10
//
// Workers need no setup, but their program must import this package. That is always so if they run
// the same program as the parent. Workers answer requests for profiles while they run tasks. As
// with net/http/pprof, anyone who can reach the handler learns much about the program and can slow
// it down.
//
// Package insight is separate from package mp because of its imports, above all net/http.
package insight
