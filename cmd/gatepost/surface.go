package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	"gatepost/cmd/gatepost/maillog"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/control"
)

// operations are all that can be asked of the daemon: one function for each noun. The socket, the API and the console's pages
// serve this one list.
func (d *daemon) operations() []control.Operation {
	return slices.Concat(
		d.auditOperations(),
		d.privacyOperations(),
		d.healthOperations(),
		d.queueOperations(),
		d.keptOperations(),
		d.strangerDesk().Operations(),
		d.recipientDesk().Operations(),
		d.reputationDesk().Operations(),
		d.senderOperations(),
		d.receivedDesk().Operations(),
		d.tlsOperations(),
		d.userOperations(),
		d.questions().Operations(),
		d.policyOperations(),
		d.alarmOperations(),
		d.nodeOperations(),
		d.simulateOperations(),
		d.routeOperations(),
		d.doctorOperations(),
		d.linkOperations(),
		d.recordOperations(),
		d.settingsOperations(),
		d.updateOperations(),
		d.restoreOperations(),
		d.gateOperations(),
		d.networkOperations(),
		d.applianceSettingsOperations(),
		d.backupOperations(),
	)
}

// questions are what the message log is asked. They are made once: what was counted for one is at hand for all.
func (d *daemon) questions() *maillog.Log {
	return d.mail.get(func() *maillog.Log { return maillog.New(d.readLog(), d.tail) })
}

// made is made by the first that needs it, and once.
type made[T any] struct {
	once sync.Once
	it   T
}

func (m *made[T]) get(make func() T) T {
	m.once.Do(func() { m.it = make() })
	return m.it
}

// openSurface makes what the socket serves, and the console below its own prefix. Whoever serves it elsewhere copies it, and
// says who asks.
func (d *daemon) openSurface() {
	d.surface = &control.Surface{Operations: d.operations(), Who: bySocket, Audit: d.noting(), Inner: true, Log: d.log}
}

// bySocket is who asks by the control socket, which lets in root and our own user only: he may do everything. His name is
// what he says of himself, and the kernel's word stands beside it.
func bySocket(r *http.Request) (access.Actor, error) {
	uid, ok := control.Peer(r.Context())
	if !ok {
		return access.Actor{}, &control.Fault{Status: http.StatusUnauthorized, Message: "the socket does not tell who asks"}
	}
	name := gateway.CleanText(control.SaidBy(r), 64)
	if name == "" {
		name = "root"
		if uid != 0 {
			name = "gatepost"
		}
	}
	return access.Actor{Name: fmt.Sprintf("%s (uid %d)", name, uid), Role: access.Owner, Via: access.BySocket}, nil
}
