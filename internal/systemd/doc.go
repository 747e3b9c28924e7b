// Package systemd speaks the two small protocols between a service and systemd: sockets that systemd opened before the
// start (sd_listen_fds(3)), and what the service says of its own state (sd_notify(3)), the watchdog included.
//
// It knows nothing of mail, reads nothing but its environment, and never makes anybody wait: a service manager that does
// not read is an error after a second. Outside systemd it does nothing.
package systemd
