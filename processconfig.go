package mp

// ProcessConfig describes a [Process]. The zero value is good.
type ProcessConfig struct {
	// Name is for people: ps shows it behind the program's name, and the process
	// knows it as [Current]().Name. "" means one that shows the lineage: worker-1
	// is the first child of the main process, worker-1:2 its second child.
	Name string

	// Daemon says that [WaitChildren] does not wait for the process. Every
	// process ends with its parent.
	Daemon bool

	// The others are as in [PoolConfig].
	Procs      int
	Env        []string
	Dir        string
	Executable string
	Limits     Limits
	Output     Output
	MaxMessage int

	RequireContainment Containment
}

// pool is the config of the pool of one that runs the process.
func (c ProcessConfig) pool() PoolConfig {
	return PoolConfig{Workers: 1, Procs: c.Procs, Env: c.Env, Dir: c.Dir, Executable: c.Executable, Limits: c.Limits, Output: c.Output, MaxMessage: c.MaxMessage, RequireContainment: c.RequireContainment}
}
