#!/usr/bin/perl
# Net::SMTP: submits the message on standard input.
#
# usage: submit.pl HOST PORT plain|starttls|implicit CA_FILE USER PASSWORD_FILE MAILBOX
use strict;
use warnings;
use Net::SMTP;

my ($host, $port, $tls, $ca_file, $user, $password_file, $mailbox) = @ARGV;
open my $file, '<', $password_file or die "$password_file: $!";
chomp(my $password = <$file>);
my @trust = (SSL_ca_file => $ca_file, SSL_verify_mode => 1, SSL_verifycn_name => $host);

my $client = Net::SMTP->new(
    $host, Port => $port, Hello => 'client.test', SSL => $tls eq 'implicit', @trust,
) or die "no connection: $@";
my $failed = sub { die "$_[0]: " . $client->code . ' ' . $client->message };
if ($tls eq 'starttls') {
    $client->starttls(@trust) or $failed->('STARTTLS');
}
$client->auth($user, $password) or $failed->('AUTH');
$client->mail($mailbox) or $failed->('MAIL');
$client->to($mailbox) or $failed->('RCPT');
binmode STDIN;
$client->data([<STDIN>]) or $failed->('DATA');
$client->quit or $failed->('QUIT');
