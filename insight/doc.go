// Package insight shows what the workers of pools are doing: over HTTP, in expvar, and as profiles of
// all workers in one file.
//
//	http.Handle("/debug/mp/", http.StripPrefix("/debug/mp", insight.Handler(map[string]*mp.Pool{"images": pool})))
//
// then, while the pool works:
//
//	go tool pprof http://localhost:8080/debug/mp/images/profile?seconds=10
//
// Workers need not do anything for it, but their program has to import this package, as it does if it
// is the parent's own. What one asks them they answer beside their tasks. As with net/http/pprof, who
// can reach the handler learns much of the program and can slow it down.
//
// It is a package of its own for what it imports, net/http above all.
package insight
