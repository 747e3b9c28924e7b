// Package handover prints what has to be done on the mail server behind the gateway, and finds out whether it was done.
//
// A kit is a text of exact commands for one product: let the gateway in and nobody else, take its limits off what is meant
// for strangers, make it answer for recipients at RCPT, read the verdict. It changes nothing itself, asks for no password,
// and never tells a server to relay for the gateway.
//
// A probe speaks SMTP or LMTP to that server as the gateway will, and never sends a message.
package handover
