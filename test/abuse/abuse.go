// Package abuse attacks the running product as a hostile client would, over
// its sockets only. It owns the attacks and what must hold under each: a clear
// answer, bounded memory, a connection that stays in step or closes, and others
// that are served meanwhile. It never reaches into the product's packages.
package abuse
