! SPDX-License-Identifier: MIT
! The Fortran run time: arrays, formatted and unformatted input and output, arguments, stop codes.
program fortran
  implicit none
  integer, parameter :: n = 1000
  real(8), allocatable :: a(:,:), b(:,:), c(:,:)
  integer :: i, unit, ios, back(3)
  character(len=32) :: text, word
  real(8) :: x

  allocate(a(64,64), b(64,64), c(64,64))
  call random_number(a)
  b = 0
  forall (i = 1:64) b(i,i) = 1
  c = matmul(a, b)
  if (any(c /= a)) error stop 2
  print '(a,f12.3)', 'trace of identity ', sum([(b(i,i), i = 1, 64)])

  write (text, '(i6,1x,es12.4)') 12345, 6.25d-3
  read (text, *) i, x
  print '(a,i6,f10.5)', 'internal ', i, x

  open (newunit=unit, status='scratch', form='unformatted', access='stream')
  write (unit) 1, 2, 3
  rewind (unit)
  read (unit) back
  close (unit)
  print '(a,3i3)', 'scratch ', back

  open (newunit=unit, file='/nonexistent/file', status='old', iostat=ios)
  if (ios == 0) error stop 3
  print '(a)', 'missing file noticed'

  call get_command_argument(1, word)
  print '(2a)', 'argument ', trim(word)
  if (trim(word) == 'stop') stop 7
  print *, 'list directed', sqrt(2.0d0), .true.
end program fortran
