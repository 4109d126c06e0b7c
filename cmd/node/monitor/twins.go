package monitor

import "rookery/storage/system"

// twins says which members bear one name, which operators could not tell apart.
func twins(nodes []system.Node, problem func(string, ...any)) {
	first := map[string]system.Node{}
	for _, x := range nodes {
		if !x.Member() {
			continue
		}
		if y, ok := first[x.Name]; ok {
			problem("nodes %s at %s and %s at %s are both called %s: set another name in the node file of one, and restart it", y.ID,
				y.Address, x.ID, x.Address, x.Name)
			continue
		}
		first[x.Name] = x
	}
}
