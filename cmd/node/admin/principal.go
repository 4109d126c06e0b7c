package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"rookery"
)

// principal is who is on the other end of the administration socket, as the
// kernel says.
type principal struct {
	uid, gid uint32
	// name is the user's, or its number where it has none.
	name string
}

type principalKey struct{}

// withPrincipal keeps with the requests of a connection who sends them. Where
// the kernel does not say there is nobody, and nothing can be changed.
func withPrincipal(ctx context.Context, c net.Conn) context.Context {
	p, err := principalOf(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, principalKey{}, p)
}

func principalFrom(ctx context.Context) (principal, bool) {
	p, ok := ctx.Value(principalKey{}).(principal)
	return p, ok
}

// principalOf asks the kernel who opened a connection (SO_PEERCRED).
func principalOf(c net.Conn) (principal, error) {
	const op = "ask who calls"
	s, ok := c.(syscall.Conn)
	if !ok {
		return principal{}, rookery.E(op, rookery.KindDenied, errors.New("the connection is of no socket"))
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return principal{}, rookery.E(op, rookery.KindDenied, err)
	}
	var cred *unix.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = cmp.Or(err, inner); err != nil {
		return principal{}, rookery.E(op, rookery.KindDenied, err)
	}
	p := principal{cred.Uid, cred.Gid, fmt.Sprint("uid ", cred.Uid)}
	if u, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10)); err == nil {
		p.name = u.Username
	}
	return p, nil
}
