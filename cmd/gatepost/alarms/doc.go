// Package alarms is what can be asked about alarms: the operations over the book of the daemon, and gatepost alarm.
//
// What an alarm is, and how people are told, is internal/alarm. No RFC applies.
package alarms
