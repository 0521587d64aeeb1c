package spawn

import "strings"

// environ joins variables of the form "KEY=value" so that each key occurs once, with its last
// value. If a key occurred twice, a process might see either value.
func environ(base []string, more ...string) []string {
	at := make(map[string]int, len(base)+len(more))
	var env []string
	for _, vars := range [][]string{base, more} {
		for _, v := range vars {
			key, _, _ := strings.Cut(v, "=")
			if i, ok := at[key]; ok {
				env[i] = v
				continue
			}
			at[key] = len(env)
			env = append(env, v)
		}
	}
	return env
}
