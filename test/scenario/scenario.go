// Package scenario holds what happens to a whole cluster in its life, on real
// processes: nodes that die and are replaced, drained, removed and joined. It
// owns no product code, looks only at what an operator sees, and is imported
// by nothing.
package scenario
