// Package monitor says how a node is: to load balancers (ready or not, and why),
// to monitoring (metrics), and to operators (the status, with every problem it
// finds).
//
// It reads the other parts and changes none of them. It owns the names of the
// metrics and the two plain HTTP listeners; only this package imports
// prometheus. Where the whole cluster is judged it goes by what the nodes report
// and the system group holds, so every node says much the same.
package monitor
