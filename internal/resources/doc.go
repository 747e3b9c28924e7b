// Package resources tells how much memory and how many descriptors this process may have, and how much of the memory is in
// use: from the control groups (version 1 and 2), the machine and the limits of the process.
//
// It sets nothing but the memory limit of the Go runtime, waits for nothing, and knows nothing of Gatepost.
package resources
