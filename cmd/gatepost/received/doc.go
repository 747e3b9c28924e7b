// Package received is what can be asked of reports that others sent about domains of ours: the operations, and the commands that
// ask them.
//
// Somebody of some domains sees those about them. What takes reports in is gateway/received, and internal/store keeps them.
// RFC 9990 for DMARC, RFC 8460 for TLS.
package received
