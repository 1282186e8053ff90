! SPDX-License-Identifier: MIT
! OpenMP from Fortran: reduction, critical, tasks.
program fortran_omp
  use omp_lib
  implicit none
  integer :: i, total, threads
  real(8) :: s
  logical :: seen(0:3)

  seen = .false.
  !$omp parallel num_threads(4)
  seen(omp_get_thread_num()) = .true.
  !$omp single
  threads = omp_get_num_threads()
  !$omp end single
  !$omp end parallel
  print '(a,i3,l2)', 'threads ', threads, all(seen)

  s = 0
  !$omp parallel do reduction(+:s) num_threads(4) schedule(dynamic, 100)
  do i = 1, 100000
     s = s + dble(i)
  end do
  print '(a,f14.1)', 'sum ', s

  total = 0
  !$omp parallel num_threads(4)
  !$omp single
  do i = 1, 50
     !$omp task firstprivate(i)
     !$omp atomic
     total = total + i
     !$omp end task
  end do
  !$omp end single
  !$omp end parallel
  print '(a,i6)', 'tasks ', total
end program fortran_omp
